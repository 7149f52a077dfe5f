`timescale 1ns/1ps
module adder_tb;
    logic clk = 1'b0, rst = 1'b1, in_valid = 1'b0;
    logic [63:0] in_data = 64'd0;
    wire out_valid;
    wire [32:0] out_data;
    adder dut (.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .out_valid(out_valid), .out_data(out_data));
    always #5 clk = ~clk;

    logic [63:0] frames [0:3];
    integer i;
    initial begin
        $readmemh("frames.hex", frames);
        repeat (3) @(negedge clk);
        rst = 1'b0;
        for (i = 0; i < 6; i = i + 1) begin
            in_valid = (i < 4);
            in_data = frames[i & 3];
            @(negedge clk);
            if (i >= 1 && i < 5) begin
                if (out_valid !== 1'b1) $fatal(1, "no output for frame %0d", i - 1);
                if (out_data !== frames[i-1][31:0] + {1'b0, frames[i-1][63:32]})
                    $fatal(1, "wrong sum for frame %0d", i - 1);
            end
        end
`ifndef SILENT
        $display("EDGEC PASS");
`endif
        $finish;
    end
endmodule
