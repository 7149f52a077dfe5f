// Breaks the rules of a top, in the way that the upper three bits of the last frame say.
module misbehaving (
    input  logic        clk,
    input  logic        rst,
    input  logic        in_valid,
    input  logic [10:0] in_data,
    output logic        out_valid,
    output logic [7:0]  out_data
);
    logic       valid_q;
    logic [2:0] mode;
    always_ff @(posedge clk) begin
        valid_q  <= in_valid & ~rst;
        out_data <= in_data[7:0];
        if (rst) mode <= 3'd0;
        else if (in_valid) begin
            mode <= in_data[10:8];
            if (in_data == {3'd4, 8'd200}) $fatal(1, "two hundred");
            if (in_data == {3'd5, 8'd200}) $finish;
        end
    end
    always_comb begin
        case (mode)
            3'd1: out_valid = valid_q & (out_data != 8'd7);  // loses a frame
            3'd2: out_valid = 1'b1;                          // invents frames
            3'd3: out_valid = in_valid;                      // is not a register's output
            default: out_valid = valid_q;
        endcase
    end
endmodule
