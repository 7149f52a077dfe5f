// out = a + b, one bit wider: two pipeline stages.
module adder #(
    parameter W = 32
) (
    input  logic           clk,
    input  logic           rst,
    input  logic           in_valid,
    input  logic [2*W-1:0] in_data,
    output logic           out_valid,
    output logic [W:0]     out_data
);
    logic         valid1;
    logic [W:0]   sum_q;
    wire  [W:0]   sum = {1'b0, in_data[W-1:0]} + {1'b0, in_data[2*W-1:W]};
    wire  [2*W+1:0] doubled;

    genvar i;
    generate
        for (i = 0; i < 2; i = i + 1) begin : lane
            doubler #(.W(W + 1)) u (.clk(clk), .d(i == 0 ? sum : sum_q), .q(doubled[i*(W+1) +: W+1]));
        end
    endgenerate

    always_ff @(posedge clk) begin
        valid1    <= in_valid & ~rst;
        out_valid <= valid1 & ~rst;
        sum_q     <= sum;
`ifdef BROKEN
        out_data <= sum_q ^ {{W{1'b0}}, sum_q[3]};
`else
        out_data <= sum_q;
`endif
    end
endmodule

module doubler #(
    parameter W = 8
) (
    input  logic         clk,
    input  logic [W-1:0] d,
    output logic [W-1:0] q
);
    wire [W-1:0] twice = d + d;
    always_ff @(posedge clk) q <= twice;
endmodule
