// out[i] = in[i] * weight[i] for 10 signed bytes, weights in registers written through a port: three stages.
module scaler (
    input  logic         clk,
    input  logic         rst,
    input  logic         in_valid,
    input  logic [79:0]  in_data,
    output logic         out_valid,
    output logic [159:0] out_data,
    input  logic         wr_en,
    input  logic [3:0]   wr_addr,
    input  logic [31:0]  wr_data
);
    logic [79:0]  weights, taken;
    logic [159:0] product;
    logic [1:0]   valid;
    integer i;

    always_ff @(posedge clk) begin
        if (wr_en) weights[wr_addr*8 +: 8] <= wr_data[7:0];
        taken <= in_data;
        for (i = 0; i < 10; i = i + 1)
            product[i*16 +: 16] <= $signed(taken[i*8 +: 8]) * $signed(weights[i*8 +: 8]);
        out_data <= product;
        valid <= rst ? 2'b00 : {valid[0], in_valid};
        out_valid <= valid[1] & ~rst;
    end
endmodule
